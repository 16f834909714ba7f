/** One line of a bench's table: what we took, what the one beside us took, and what was to be reached. */
export interface Figure {
  /** Id of the measurement, as `M-1`. */
  readonly id: string
  readonly what: string
  readonly unit: 'ms' | 'MB' | '%' | 'rows/s'
  readonly ours: number
  /** What the goal is relative to, and its figure; null for an absolute goal. */
  readonly beside: Beside | null
  readonly goal: Goal
  /** Others, for comparison: a figure, or why there is none. */
  readonly peers: ReadonlyMap<string, number | string>
}

export interface Beside {
  readonly name: string
  readonly value: number
  /** Ours to its, in the median round: the two of one round had the same machine under them. */
  readonly ratio: number
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

/** The value that this part of them, of 1, is not above; NaN of nothing. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)] ?? NaN
}

/** What took its turns beside us; both lists are in the order of the rounds. */
export function besideOf(name: string, ours: readonly number[], values: readonly number[]): Beside {
  return { name, value: median(values), ratio: median(ours.map((own, round) => own / (values[round] ?? NaN))) }
}

/** What the goal is about: the ratio, the difference, or the figure itself. */
function judged({ ours, beside, goal }: Figure): number {
  if (goal.type === 'ratio') return Number.isFinite(ours) ? (beside?.ratio ?? NaN) : NaN
  return goal.type === 'difference' ? ours - (beside?.value ?? NaN) : ours
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

function ratioText({ beside }: Figure): string {
  return beside !== null && Number.isFinite(beside.ratio) ? `${round(beside.ratio)} ×` : ''
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
