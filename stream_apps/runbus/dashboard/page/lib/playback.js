/**
 * Playback: where the cursor of an episode is at a moment. A value and functions that take `now` (milliseconds); no
 * timer and no DOM, so a test owns the clock.
 */

/** Steps a second that the speed keys go through. */
export const SPEEDS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 1000, 3000];

/**
 * @typedef {object} Playback
 * @property {number} step where the cursor was at `since`
 * @property {number | null} since when it began to play; null = it is paused
 * @property {number} speed steps a second
 * @property {boolean} loop whether it begins again behind the last step
 * @property {boolean} follow whether it stays at the last step, wherever that is
 */

/** @typedef {{first: number, last: number}} Extent steps that there are, both included */

/**
 * A paused cursor.
 * @param {number} step
 * @param {Partial<Playback>} [rest]
 * @returns {Playback}
 */
export const paused = (step, rest = {}) => ({speed: 10, loop: false, ...rest, follow: false, step, since: null});

/** @param {number} step @param {Extent} extent */
export const clamp = (step, {first, last}) => Math.max(first, Math.min(last, Math.round(step)));

/**
 * The step under the cursor at `now`.
 * @param {Playback} playback
 * @param {number} now
 * @param {Extent} extent
 */
export function at(playback, now, extent) {
  if (playback.follow) return extent.last;
  if (playback.since === null) return clamp(playback.step, extent);
  const gone = Math.floor((Math.max(0, now - playback.since) * playback.speed) / 1000);
  const step = playback.step + gone;
  if (!playback.loop || step <= extent.last) return clamp(step, extent);
  return extent.first + ((step - extent.first) % (extent.last - extent.first + 1));
}

/**
 * Whether it still moves: one that has reached the last step without a loop is over.
 * @param {Playback} playback
 * @param {number} now
 * @param {Extent} extent
 */
export const moving = (playback, now, extent) =>
  playback.since !== null && (playback.loop || at(playback, now, extent) < extent.last);

/**
 * Goes to a step; what plays goes on playing from there, what followed no longer does.
 * @param {Playback} playback
 * @param {number} step
 * @param {number} now
 * @returns {Playback}
 */
export const seek = (playback, step, now) => ({
  ...playback,
  step,
  since: playback.since === null ? null : now,
  follow: false,
});

/**
 * Plays from where it is; from the first step if it stands at the last one.
 * @param {Playback} playback
 * @param {number} now
 * @param {Extent} extent
 * @returns {Playback}
 */
export function play(playback, now, extent) {
  const step = at(playback, now, extent);
  return {...playback, step: step >= extent.last ? extent.first : step, since: now, follow: false};
}

/**
 * Stops where it is.
 * @param {Playback} playback
 * @param {number} now
 * @param {Extent} extent
 * @returns {Playback}
 */
export const pause = (playback, now, extent) => ({
  ...playback,
  step: at(playback, now, extent),
  since: null,
  follow: false,
});

/**
 * Stays at the newest step, or no longer does.
 * @param {Playback} playback
 * @param {number} now
 * @param {Extent} extent
 * @returns {Playback}
 */
export const follow = (playback, now, extent) =>
  playback.follow ? pause(playback, now, extent) : {...playback, since: null, follow: true};

/**
 * The next speed up (`by` 1) or down (-1); the cursor does not jump.
 * @param {Playback} playback
 * @param {number} by
 * @param {number} now
 * @param {Extent} extent
 * @returns {Playback}
 */
export function faster(playback, by, now, extent) {
  const place = SPEEDS.findIndex((speed) => speed >= playback.speed);
  const speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, place + by))] ?? playback.speed;
  if (playback.since === null) return {...playback, speed};
  return {...playback, speed, step: at(playback, now, extent), since: now};
}
