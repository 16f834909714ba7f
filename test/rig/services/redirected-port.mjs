// Load it into a program with `node --import`: connections to the first port of REDIRECTED_PORT, such as 1883:2883, go to the second one.
import { Socket } from 'node:net'

const [from, to] = process.env.REDIRECTED_PORT.split(':').map(Number)
const { connect } = Socket.prototype
Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0]
  if (Number(options?.port) === from) options.port = to
  return connect.apply(this, args)
}
