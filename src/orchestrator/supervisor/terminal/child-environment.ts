import type { TerminalSize } from './size.ts'

/** The orchestrator's own output, if it is a terminal with colours. */
export interface ColourTerminal {
  /** 1 for 16 colours, 2 for 256, 3 for 16 million, as in FORCE_COLOR. */
  readonly depth: 1 | 2 | 3
  /** The columns beside the prefix. */
  readonly columns: number
}

/** How a child must be started to fit to the orchestrator's output. */
export interface ChildDisplay {
  /** The size of the child's terminal, if it has one. */
  readonly size: TerminalSize
  /** Null if the orchestrator's output is not a terminal with colours. */
  readonly colours: ColourTerminal | null
}

/**
 * Returns the variables that make a child without a terminal use our terminal's colours and width. Variables that the child's
 * environment already has are never replaced, and NO_COLOR prevents colours.
 */
export function terminalVariables(
  terminal: ColourTerminal | null,
  environment: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  if (terminal === null) return {}
  const wantsNoColour = (environment['NO_COLOR'] ?? '') !== ''
  return {
    ...(wantsNoColour || 'FORCE_COLOR' in environment ? {} : { FORCE_COLOR: String(terminal.depth) }),
    ...('COLUMNS' in environment ? {} : { COLUMNS: String(terminal.columns) }),
  }
}

/** Returns the level of FORCE_COLOR for a number of bits per pixel, as `getColorDepth` returns it; null without colours. */
export function colourDepth(bits: number): ColourTerminal['depth'] | null {
  if (bits >= 24) return 3
  if (bits >= 8) return 2
  return bits >= 4 ? 1 : null
}
