// Codecs: the same decoders in CEL and in JavaScript, and JavaScript codecs with restored memory beside fresh contexts.
import { measureFreshContexts } from './codecs/fresh-contexts.ts'
import { measureLanguages } from './codecs/languages.ts'
import type { Figure } from './report/figures.ts'
import { runBench } from './report/report.ts'

await runBench('codecs', ['languages', 'contexts'], async ({ only, rounds }) => {
  const figures: Figure[] = []
  if (only.includes('languages')) figures.push(...measureLanguages(rounds))
  if (only.includes('contexts')) figures.push(measureFreshContexts(rounds))
  return Promise.resolve(figures)
})
