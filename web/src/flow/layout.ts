import * as dagre from "@dagrejs/dagre";
import type { Schemas } from "../api/client";

export const nodeWidth = 172;
export const nodeHeight = 50;

export interface Placed {
  name: string;
  x: number;
  y: number;
}

export interface Line {
  from: string;
  to: string;
  carries: string[];
  path: string;
  x: number;
  y: number;
}

export interface Layout {
  width: number;
  height: number;
  nodes: Placed[];
  lines: Line[];
}

/** layout places the steps of a workflow from top to bottom. Steps of finally come after all others, one after the other. */
export function layout(steps: Schemas["FlowStep"][]): Layout {
  const g = new dagre.graphlib.Graph();
  g.setGraph({ rankdir: "TB", nodesep: 24, ranksep: 34, marginx: 8, marginy: 8 });
  g.setDefaultEdgeLabel(() => ({}));
  for (const s of steps) g.setNode(s.name, { width: nodeWidth, height: nodeHeight });
  const names = new Set(steps.map((s) => s.name));
  const carries = new Map<string, string[]>();
  const edge = (from: string, to: string, what: string[]) => {
    if (!names.has(from)) return;
    g.setEdge(from, to);
    carries.set(JSON.stringify([from, to]), what);
  };
  for (const s of steps) for (const a of s.after ?? []) edge(a.step, s.name, a.carries ?? []);
  const needed = new Set(steps.flatMap((s) => (s.after ?? []).map((a) => a.step)));
  const last = steps.filter((s) => !s.finally && !needed.has(s.name));
  let before = last.map((s) => s.name);
  for (const s of steps.filter((x) => x.finally)) {
    for (const b of before) if (!(s.after ?? []).some((a) => a.step === b)) edge(b, s.name, []);
    before = [s.name];
  }
  dagre.layout(g);
  const all = g.graph() as { width?: number; height?: number };
  return {
    width: all.width ?? 0,
    height: all.height ?? 0,
    nodes: steps.map((s) => {
      const n = g.node(s.name) as { x: number; y: number };
      return { name: s.name, x: n.x - nodeWidth / 2, y: n.y - nodeHeight / 2 };
    }),
    lines: g.edges().map((e) => {
      const { points } = g.edge(e) as { points: { x: number; y: number }[] };
      const middle = points[points.length >> 1]!;
      return {
        from: e.v,
        to: e.w,
        carries: carries.get(JSON.stringify([e.v, e.w])) ?? [],
        path: curve(points),
        x: middle.x,
        y: middle.y,
      };
    }),
  };
}

/** curve is a B-spline near points: it begins and ends at the first and the last one. */
function curve(points: { x: number; y: number }[]): string {
  const p = points;
  const last = p.length - 1;
  const at = (x: number, y: number) => `${round(x)},${round(y)}`;
  let d = `M${at(p[0]!.x, p[0]!.y)}`;
  if (last < 2) return `${d}L${at(p[last]!.x, p[last]!.y)}`;
  d += `L${at((5 * p[0]!.x + p[1]!.x) / 6, (5 * p[0]!.y + p[1]!.y) / 6)}`;
  for (let i = 1; i <= last; i++) {
    const [a, b] = [p[i - 1]!, p[i]!];
    const c = p[i + 1] ?? b;
    d += `C${at((2 * a.x + b.x) / 3, (2 * a.y + b.y) / 3)} ${at((a.x + 2 * b.x) / 3, (a.y + 2 * b.y) / 3)} ${at((a.x + 4 * b.x + c.x) / 6, (a.y + 4 * b.y + c.y) / 6)}`;
  }
  return `${d}L${at(p[last]!.x, p[last]!.y)}`;
}

const round = (n: number) => Math.round(n * 10) / 10;
