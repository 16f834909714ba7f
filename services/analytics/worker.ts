import { serveEvaluations } from '../../src/cel/evaluator.ts'

serveEvaluations()
