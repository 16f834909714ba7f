/** One line of a bench's table: what we took, what the one beside us took, and what was to be reached. */
export interface Figure {
  /** Id of the measurement, as `M-1`. */
  readonly id: string
  readonly what: string
  readonly unit: 'ms' | 'MB' | '%' | 'rows/s'
  readonly ours: number
  /** What the goal is relative to, and its figure; null for an absolute goal. */
  readonly beside: { readonly name: string; readonly value: number } | null
  readonly goal: Goal
  /** Others, for comparison: a figure, or why there is none. */
  readonly peers: ReadonlyMap<string, number | string>
}

export type Goal =
  | { readonly type: 'ratio'; readonly atMost: number }
  | { readonly type: 'difference'; readonly atMost: number }
  | { readonly type: 'value'; readonly atMost: number }
  /** Reported, not judged. */
  | { readonly type: 'none' }

/** The middle one, or the mean of the two middle ones; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const low = sorted[Math.ceil(middle) - 1] ?? NaN
  const high = sorted[Math.floor(middle)] ?? NaN
  return (low + high) / 2
}

/** What the goal is about: the ratio, the difference, or the figure itself. */
function judged({ ours, beside, goal }: Figure): number {
  const other = beside?.value ?? NaN
  if (goal.type === 'ratio') return ours / other
  return goal.type === 'difference' ? ours - other : ours
}

/** Null if there is no goal. A figure that could not be had misses it. */
export function isMet(figure: Figure): boolean | null {
  return figure.goal.type === 'none' ? null : judged(figure) <= figure.goal.atMost
}

/** Columns of the table: headings first. */
export function tableOf(figures: readonly Figure[]): readonly (readonly string[])[] {
  const peers = [...new Set(figures.flatMap((figure) => [...figure.peers.keys()]))]
  const rows = figures.map((figure) => [
    figure.id,
    figure.what,
    amount(figure.ours, figure.unit),
    figure.beside === null ? '' : `${figure.beside.name} ${amount(figure.beside.value, figure.unit)}`,
    ratioText(figure),
    goalText(figure),
    mark(isMet(figure)),
    ...peers.map((peer) => peerText(figure.peers.get(peer), figure.unit)),
  ])
  return [['', 'work', 'ours', 'beside', 'ratio', 'goal', '', ...peers], ...rows]
}

function ratioText({ ours, beside }: Figure): string {
  const ratio = ours / (beside?.value ?? NaN)
  return Number.isFinite(ratio) ? `${round(ratio)} ×` : ''
}

function goalText({ goal, unit }: Figure): string {
  if (goal.type === 'none') return ''
  const limit = goal.type === 'ratio' ? `${goal.atMost} ×` : amount(goal.atMost, unit)
  return goal.type === 'difference' ? `≤ ${limit} more` : `≤ ${limit}`
}

function peerText(value: number | string | undefined, unit: Figure['unit']): string {
  return typeof value === 'number' ? amount(value, unit) : (value ?? '')
}

function amount(value: number, unit: Figure['unit']): string {
  return Number.isFinite(value) ? `${round(value)} ${unit}` : 'no figure'
}

/** Three digits that count, as people read them. */
function round(value: number): string {
  return Number(value.toPrecision(value >= 100 ? Math.trunc(value).toString().length : 3)).toLocaleString('en-GB')
}

function mark(met: boolean | null): string {
  if (met === null) return ''
  return met ? '✓' : '✗'
}
