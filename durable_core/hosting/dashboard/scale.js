// From moments to pixels: in proportion, except where nothing happens; such a time may be cut out.

const CUT = 28; // pixels of a mark that stands for time cut out
const NICE = [1, 2, 5];

// The union of intervals [from, to], in order.
export function merged(intervals) {
  const out = [];
  for (const [from, to] of [...intervals].sort((a, b) => a[0] - b[0])) {
    const last = out[out.length - 1];
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else out.push([from, to]);
  }
  return out;
}

// from, to: ms. busy: intervals in which something happens. width: pixels. Without hideIdle nothing is cut.
export function makeScale({ from, to, busy, width, hideIdle }) {
  if (!(to > from)) to = from + 1;
  const inside = merged(busy.map(([a, b]) => [Math.max(from, a), Math.min(to, b)]).filter(([a, b]) => b >= a));
  const active = inside.reduce((sum, [a, b]) => sum + b - a, 0);
  const margin = Math.max(active * 0.03, (to - from) * 1e-6, 0.5);
  const least = Math.max(active * 0.6, margin * 6);
  const pieces = [];
  let at = from;
  const add = (a, b, isCut) => { if (b > a) pieces.push({ from: a, to: b, isCut }); };
  for (const [a, b] of hideIdle ? [...inside, [to, to]] : []) {
    const gap = a - at;
    if (gap > least) {
      const start = at === from ? at : at + margin;
      const end = a === to && b === to ? a : a - margin;
      add(at, start, false);
      add(start, end, true);
      at = end;
    }
    add(at, b, false);
    at = Math.max(at, b);
  }
  add(at, to, false);
  if (!pieces.some((piece) => !piece.isCut)) pieces.splice(0, pieces.length, { from, to, isCut: false });
  const cuts = pieces.filter((piece) => piece.isCut);
  const cutWidth = Math.min(CUT, width / (2 * cuts.length || 1));
  const shown = pieces.reduce((sum, piece) => sum + (piece.isCut ? 0 : piece.to - piece.from), 0) || 1;
  const perMs = Math.max(0, width - cuts.length * cutWidth) / shown;
  let x = 0;
  for (const piece of pieces) {
    piece.x0 = x;
    x += piece.isCut ? cutWidth : (piece.to - piece.from) * perMs;
    piece.x1 = x;
  }
  const pieceAt = (time) => pieces.find((piece) => time <= piece.to) ?? pieces[pieces.length - 1];
  return {
    from, to, cuts, width, perMs,
    x(time) {
      const piece = pieceAt(time);
      const share = piece.to > piece.from ? (time - piece.from) / (piece.to - piece.from) : 0;
      return piece.x0 + Math.min(1, Math.max(0, share)) * (piece.x1 - piece.x0);
    },
    time(px) {
      const piece = pieces.find((each) => px <= each.x1) ?? pieces[pieces.length - 1];
      const share = piece.x1 > piece.x0 ? (px - piece.x0) / (piece.x1 - piece.x0) : 0;
      return piece.from + Math.min(1, Math.max(0, share)) * (piece.to - piece.from);
    },
    // Round offsets from `origin` that are `space` pixels apart, outside the cuts.
    ticks(origin, space) {
      const step = niceStep(space / perMs);
      const found = [];
      for (const piece of pieces) {
        if (piece.isCut) continue;
        for (let offset = Math.ceil((piece.from - origin) / step) * step; origin + offset <= piece.to; offset += step) {
          const px = this.x(origin + offset);
          if (cuts.some((cut) => px > cut.x0 - space / 2 && px < cut.x1 + space / 2)) continue;
          if (!found.length || px - found[found.length - 1].x >= space * 0.7) found.push({ x: px, offset });
          if (found.length > 200) return found;
        }
      }
      return found;
    },
  };
}

const STEPS = [60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000];

function niceStep(least) {
  if (!Number.isFinite(least)) return 1;
  if (least > 86_400_000) return Math.ceil(least / 86_400_000) * 86_400_000;
  if (least > 30_000) return STEPS.find((each) => each >= least);
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 0.001)));
  return (NICE.find((each) => each * power >= least) ?? 10) * power;
}
