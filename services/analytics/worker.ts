import { serveEvaluations } from '../../src/cel/worker-loop.ts'

serveEvaluations()
