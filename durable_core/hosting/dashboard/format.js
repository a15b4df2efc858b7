// Values as text. Nothing here touches the page.

const UNITS = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000]];

// A length of time with two units at most: '340 ms', '1.4 s', '2 m 5 s', '3 d 4 h'.
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "";
  if (ms < 0) return "-" + duration(-ms);
  if (ms < 1) return ms === 0 ? "0 ms" : "<1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`;
  const at = UNITS.findIndex(([, size]) => ms >= size);
  const [unit, size] = UNITS[at];
  const [lower, part] = UNITS[at + 1];
  const whole = Math.floor(ms / size);
  const rest = Math.floor((ms - whole * size) / part);
  return whole >= 100 || rest === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${lower}`;
}

// How long ago, or how far ahead: with one unit, so that it changes seldom.
export function relative(time, now) {
  const ms = now - time;
  const text = coarse(Math.abs(ms));
  return Math.abs(ms) < 1000 ? "now" : ms > 0 ? `${text} ago` : `in ${text}`;
}

function coarse(ms) {
  const [unit, size] = UNITS.find(([, each]) => ms >= each) ?? UNITS[3];
  return `${Math.floor(ms / size)} ${unit}`;
}

// A moment to the millisecond, as 2026-01-31 12:00:00.000 with its zone.
export function absolute(time, zone) {
  const moment = new Date(time);
  if (Number.isNaN(moment.getTime())) return "";
  if (zone === "utc") return moment.toISOString().replace("T", " ").replace("Z", " UTC");
  const two = (n, size = 2) => String(n).padStart(size, "0");
  const offset = -moment.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const ahead = `${sign}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ` +
    `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}.` +
    `${two(moment.getMilliseconds(), 3)} ${ahead}`;
}

// The time of day, for an axis; with its date when asked for.
export function clock(time, zone, { date = false, millis = false } = {}) {
  const text = absolute(time, zone);
  const day = text.slice(5, 10);
  const hours = text.slice(11, millis ? 23 : 19);
  return date ? `${day} ${hours.slice(0, 5)}` : hours;
}

export const count = (n) => n.toLocaleString("en-US");
export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

const SIGNS = { USD: "$", EUR: "€", GBP: "£" };

// An amount with its currency, to three significant digits: '$0.0000126', '$12.50'.
export function money(amount, currency) {
  if (amount === null || amount === undefined) return "";
  const sign = SIGNS[currency] ?? `${visible(currency)} `;
  if (amount === 0) return `${sign}0`;
  const digits = Math.min(12, Math.max(2, 2 - Math.floor(Math.log10(amount))));
  return sign + amount.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function bytes(n) {
  if (n < 1000) return `${n} B`;
  if (n < 1_000_000) return `${(n / 1000).toFixed(n < 10_000 ? 1 : 0)} KB`;
  return `${(n / 1_000_000).toFixed(1)} MB`;
}

// Characters that hide, reverse or break what stands around them are shown as their code: an id with a right-to-left
// mark must not read as another id.
const HIDDEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]/g;
export const visible = (text) => String(text).replace(HIDDEN, (hidden) =>
  `\\u${hidden.charCodeAt(0).toString(16).padStart(4, "0")}`);

// A value on one line, cut.
export function brief(value, length = 120) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return visible(text.length > length ? text.slice(0, length) + " …" : text);
}

// 'app.errors.CardDeclinedError' → 'CardDeclinedError'
export const shortType = (type) => String(type).split(".").pop();

const PASSED_ON = /^[\w-]+ '[^']*' \(task \d+\) failed: ([\w.]+)(?:: (.*))?$/s;

// The error that began it: what an activity raised, below the errors that passed it on. The list knows these by their
// text alone.
export function rootCause(failure) {
  if (failure.cause) return rootCause({ line: failure.line, ...failure.cause });
  const found = PASSED_ON.exec(failure.message);
  return found ? rootCause({ ...failure, type: found[1], message: found[2] ?? "" }) : failure;
}

export const at = (text) => (text ? Date.parse(text) : undefined);
