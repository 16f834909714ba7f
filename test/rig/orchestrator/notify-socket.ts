import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A Perl program that prints one line for each datagram, because Node cannot open Unix datagram sockets. */
const receiver = `
  use Socket;
  $| = 1;
  socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die $!;
  bind($socket, sockaddr_un($ARGV[0])) or die $!;
  print "listening\\n";
  while (defined recv($socket, my $datagram, 65536, 0)) { $datagram =~ s/\\n/\\x1f/g; print "$datagram\\n" }`

/** A socket for NOTIFY_SOCKET, read by the test instead of systemd. */
export class NotifySocket {
  readonly path: string
  /** One entry for each datagram, with its assignments separated by newlines. */
  readonly messages: string[] = []
  readonly #folder: string
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()

  private constructor(folder: string, child: ChildProcess, path: string) {
    this.#folder = folder
    this.#child = child
    this.path = path
  }

  static async open(): Promise<NotifySocket> {
    const folder = await mkdtemp(join(tmpdir(), 'ponix-notify-'))
    const path = join(folder, 'socket')
    const child = spawn('perl', ['-e', receiver, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    const socket = new NotifySocket(folder, child, path)
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`the receiver ended with ${code}`)))
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line === 'listening') resolve()
        else socket.#receive(line.replaceAll('\u001F', '\n').trimEnd())
      })
    })
    return socket
  }

  /** Resolves when a message contains this assignment. */
  async received(assignment: string): Promise<void> {
    while (!this.messages.some((message) => message.split('\n').includes(assignment))) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.kill('SIGKILL')
    await ended
    await rm(this.#folder, { recursive: true, force: true })
  }

  #receive(message: string): void {
    // systemd-notify sends it to find out whether its messages were read.
    if (message === 'BARRIER=1') return
    this.messages.push(message)
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}
