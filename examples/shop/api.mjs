// A web server that reports its readiness on the file descriptor in NOTIFY_FD.
import { writeSync } from 'node:fs'
import { createServer } from 'node:http'

const server = createServer((_request, response) => response.end('{"orders": 3}\n'))
server.listen(Number(process.env.PORT), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${process.env.PORT}`)
  if (process.env.NOTIFY_FD !== undefined) writeSync(Number(process.env.NOTIFY_FD), '\n')
})
