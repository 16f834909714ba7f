// A database that needs half a second until it accepts connections, and writes its data before it stops.
import { createServer } from 'node:net'

const server = createServer((connection) => connection.end('ok\n'))
console.log('recovering the last transactions')
setTimeout(
  () => server.listen(Number(process.env.DB_PORT), '127.0.0.1', () => console.log('accepting connections')),
  500,
)

process.on('SIGTERM', () => {
  console.log('data is written, bye')
  process.exit()
})
