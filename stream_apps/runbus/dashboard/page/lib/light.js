/**
 * Says in two words whether every step of the newest streams is accounted for. Pure.
 */
import {exact} from "./format.js";

/**
 * @param {import("./channels.js").Row | undefined} light how many streams are in which state, and why not all are decided
 * @returns {{tone: "" | "ok" | "warn" | "bad", text: string, title: string}}
 */
export function lightOf(light) {
  const {true: settled = 0, moving = 0, false: wrong = 0, more = 0, trouble = ""} = light ?? {};
  const streams = settled + moving + wrong;
  const whole = more ? `; ${exact(more)} more are not looked at here: runbus audit compares all` : "";
  if (wrong) return {tone: "bad", text: `${exact(wrong)} wrong`, title: `Steps of ${exact(wrong)} of ${exact(streams)} streams are missing, or stored twice${whole}`};
  if (trouble) return {tone: "warn", text: "not known", title: trouble};
  if (!streams) return {tone: "", text: "–", title: "Nothing was recorded within the last ten minutes"};
  if (moving) return {tone: "warn", text: "counting", title: `${exact(moving)} of ${exact(streams)} streams are being counted; of the others every step is accounted for${whole}`};
  return {tone: "ok", text: "nothing lost", title: `Every step of ${exact(streams)} streams is stored, in flight, or counted as dropped or as a dead letter${whole}`};
}
