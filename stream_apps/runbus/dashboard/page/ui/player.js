/**
 * Moves the cursor of an episode with the time: the playback value of lib/playback.js, ticked by the screen.
 */
import {computed, signal} from "../lib/preact.js";
import * as playback from "../lib/playback.js";

export class Player {
  /** @param {number} step where to begin */
  constructor(step) {
    this.extent = signal({first: 0, last: Math.max(0, step)});
    this.state = signal(playback.paused(step));
    this.cursor = signal(step);
    this.playing = computed(() => this.state.value.since !== null);
    this.follows = computed(() => this.state.value.follow);
    /** 1 or -1: where the cursor went last; what is fetched ahead lies there. */
    this.direction = 1;
    this.dragging = signal(false);
    this.frame = 0;
  }

  /** Say which steps there are; who follows goes along. @param {playback.Extent} extent */
  reaches(extent) {
    const {first, last} = this.extent.peek();
    if (first === extent.first && last === extent.last) return;
    this.extent.value = extent;
    this.update();
  }

  /** @param {playback.Playback} state */
  become(state) {
    this.state.value = state;
    this.update();
  }

  update() {
    const now = performance.now();
    const step = playback.at(this.state.peek(), now, this.extent.peek());
    if (step !== this.cursor.peek()) this.direction = step < this.cursor.peek() ? -1 : 1;
    this.cursor.value = step;
    cancelAnimationFrame(this.frame);
    if (this.state.peek().since === null) return;
    if (playback.moving(this.state.peek(), now, this.extent.peek()))
      this.frame = requestAnimationFrame(() => this.update());
    else this.state.value = playback.pause(this.state.peek(), now, this.extent.peek());
  }

  /** @param {number} step */
  seek(step) {
    this.become(playback.seek(this.state.peek(), playback.clamp(step, this.extent.peek()), performance.now()));
  }

  /** @param {number} by */
  move(by) {
    this.seek(this.cursor.peek() + by);
  }

  toggle() {
    const how = this.state.peek().since === null ? playback.play : playback.pause;
    this.become(how(this.state.peek(), performance.now(), this.extent.peek()));
  }

  follow() {
    this.become(playback.follow(this.state.peek(), performance.now(), this.extent.peek()));
  }

  loop() {
    this.become({...this.state.peek(), loop: !this.state.peek().loop});
  }

  /** @param {number} by 1 = the next speed up, -1 = down */
  faster(by) {
    this.become(playback.faster(this.state.peek(), by, performance.now(), this.extent.peek()));
  }

  close() {
    cancelAnimationFrame(this.frame);
  }
}
