/**
 * The one place that imports the vendored view libraries: Preact, its hooks, signals and htm.
 *
 * `html` is the template tag. All text that is put into it is escaped by construction: Preact sets text nodes.
 */
import {Fragment, h, render} from "../vendor/preact.js";
import {useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState} from "../vendor/hooks.js";
import {batch, computed, effect, signal, untracked} from "../vendor/signals-core.js";
import {useComputed, useSignal, useSignalEffect} from "../vendor/signals.js";
import htm from "../vendor/htm.js";

export const html = htm.bind(h);

export {
  Fragment, batch, computed, effect, h, render, signal, untracked, useCallback, useComputed, useEffect, useLayoutEffect,
  useMemo, useRef, useSignal, useSignalEffect, useState,
};
