/** One row of a benchmark's table: our figure, the figure it is compared with, and the goal. */
export interface Figure {
  /** The id of the measurement, such as `M-1`. */
  readonly id: string
  readonly what: string
  readonly unit: 'ms' | 'µs' | 'MB' | 'KB' | '%' | 'messages' | 'messages/s'
  readonly ours: number
  /** The figure that the goal is relative to; not needed for an absolute goal. */
  readonly beside?: Beside | undefined
  readonly goal: Goal
  /** The figure of each peer, or the reason why there is none. */
  readonly peers?: ReadonlyMap<string, number | string>
}

export interface Beside {
  readonly name: string
  readonly value: number
  /** Our figure divided by this one: the median of the rounds' ratios, because the machine's speed drifts between rounds. */
  readonly ratio: number
}

export type Goal =
  | { readonly type: 'ratio'; readonly atMost: number }
  | { readonly type: 'difference'; readonly atMost: number }
  | { readonly type: 'value'; readonly atMost: number }
  /** The figure is reported without a goal. */
  | { readonly type: 'none' }

/** Returns the median; the mean of the two middle values for an even count; NaN for an empty list. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const low = sorted[Math.ceil(middle) - 1] ?? NaN
  const high = sorted[Math.floor(middle)] ?? NaN
  return (low + high) / 2
}

/** Returns the quantile at `part` (0 to 1), always one of the values; NaN for an empty list. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)] ?? NaN
}

/** Compares our values with others; both lists are in the order of the rounds. */
export function compare(name: string, ours: readonly number[], values: readonly number[]): Beside {
  return { name, value: median(values), ratio: median(ours.map((own, round) => own / (values[round] ?? NaN))) }
}

/** Returns the value that the goal limits: the ratio, the difference, or the figure itself. */
function limitedValue({ ours, beside, goal }: Figure): number {
  if (goal.type === 'ratio') return Number.isFinite(ours) ? (beside?.ratio ?? NaN) : NaN
  return goal.type === 'difference' ? ours - (beside?.value ?? NaN) : ours
}

/** Returns whether the goal is met; null without a goal. A missing figure (NaN) misses every goal. */
export function isMet(figure: Figure): boolean | null {
  return figure.goal.type === 'none' ? null : limitedValue(figure) <= figure.goal.atMost
}

/** Returns the rows of the table: headings first. */
export function tableOf(figures: readonly Figure[]): readonly (readonly string[])[] {
  const peers = [...new Set(figures.flatMap((figure) => [...(figure.peers?.keys() ?? [])]))]
  const rows = figures.map((figure) => [
    figure.id,
    figure.what,
    amount(figure.ours, figure.unit),
    figure.beside === undefined ? '' : `${figure.beside.name} ${amount(figure.beside.value, figure.unit)}`,
    ratioText(figure),
    goalText(figure),
    metText(isMet(figure)),
    ...peers.map((peer) => peerText(figure.peers?.get(peer), figure.unit)),
  ])
  return [['', 'work', 'ours', 'beside', 'ratio', 'goal', 'goal met', ...peers], ...rows]
}

function ratioText({ beside }: Figure): string {
  return beside !== undefined && Number.isFinite(beside.ratio) ? `${round(beside.ratio)} ×` : ''
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

/** Rounds to three significant digits. */
function round(value: number): string {
  return Number(value.toPrecision(value >= 100 ? Math.trunc(value).toString().length : 3)).toLocaleString('en-GB')
}

function metText(met: boolean | null): string {
  if (met === null) return ''
  return met ? 'yes' : 'no'
}
