import { serveEvaluations } from '../../src/codecs/pool/worker-thread.ts'

serveEvaluations()
