/** The default command of a container of an image; null where only its base image determines it. */
export interface ImageCommand {
  readonly entrypoint: readonly string[] | null
  readonly command: readonly string[] | null
}

/** Returns the command of a stage of a Dockerfile, by default of the last one. */
export function commandOfDockerfile(text: string, target: string | undefined): ImageCommand {
  const stages = new Map<string, ImageCommand>()
  let stage: ImageCommand = { entrypoint: null, command: null }
  let current = ''
  for (const line of instructions(text)) {
    const [, keyword = '', value = ''] = /^\s*([A-Za-z]+)\s+([^]*\S)\s*$/.exec(line) ?? []
    const instruction = keyword.toUpperCase()
    if (instruction === 'FROM') {
      const [base = '', , name] = value.split(/\s+/).filter((word) => !word.startsWith('--'))
      stage = { entrypoint: null, command: null, ...stages.get(base.toLowerCase()) }
      current = (name ?? `${stages.size}`).toLowerCase()
    } else if (instruction === 'ENTRYPOINT') stage = { entrypoint: wordsOfInstruction(value), command: null }
    else if (instruction === 'CMD') stage = { ...stage, command: wordsOfInstruction(value) }
    stages.set(current, stage)
  }
  return (target === undefined ? stage : stages.get(target.toLowerCase())) ?? stage
}

/** Returns the lines of a Dockerfile without comments; a backslash at the end continues a line. */
function instructions(text: string): readonly string[] {
  const lines = text.split(/\r?\n/).filter((line) => !/^\s*#/.test(line))
  return lines
    .join('\n')
    .replaceAll(/\\[ \t]*\n/g, ' ')
    .split('\n')
}

/** Reads the JSON form; any other text is a line for the shell. */
function wordsOfInstruction(value: string): readonly string[] {
  try {
    const words: unknown = JSON.parse(value)
    if (Array.isArray(words) && words.every((word) => typeof word === 'string')) return words
  } catch {
    // The value is a line.
  }
  return ['sh', '-c', value]
}
