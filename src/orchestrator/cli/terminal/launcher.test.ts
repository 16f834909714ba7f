import { describe, expect, it } from 'vitest'
import { countForwarders, isInShellOfNpm } from './launcher.ts'

/** Returns a lookup of a chain of processes `program group`, from this program (pid 1000) to its ancestors. */
function chain(...processes: readonly string[]) {
  return (pid: number) => {
    const match = /^(.*) (\d+)$/.exec(processes[1000 - pid] ?? '')
    return match === null ? null : { program: match[1] ?? '', group: Number(match[2]), parent: pid - 1 }
  }
}

describe('countForwarders (O-37)', () => {
  it.each([
    ['a job of a shell', ['node 1000', 'bash 990'], 0],
    ['npm with dash, which waits for us', ['node 7', 'sh 7', 'npm start 7', 'bash 6'], 0],
    ['npm with a shell that has replaced itself', ['node 7', 'npm start 7', 'bash 6'], 1],
    ['npm in npm', ['node 7', 'npm run inner 7', 'npm run outer 7', 'bash 6'], 2],
    ['npm in a shell of npm', ['node 7', 'npm run inner 7', 'sh 7', 'npm run outer 7'], 1],
    ['another program that forwards signals', ['node 7', 'cross-env 7', 'sh 7', 'npm start 7'], 1],
    ['npm above a shell with job control', ['node 1000', 'npm start 7'], 0],
    ['a system without /proc', [], 0],
  ] as const)('%s', (_, processes, expected) => {
    expect(countForwarders(1000, chain(...processes))).toBe(expected)
  })
})

describe('isInShellOfNpm (O-37)', () => {
  const npm = { npm_command: 'exec' }
  it.each([
    ['dash, which waits for us', ['node 7', 'sh 7'], 'ponix-orchestrator', npm, true],
    ['a command after &&', ['node 7', 'sh 7'], 'make && ponix-orchestrator 2>&1', npm, true],
    ['a shell outside npm', ['node 7', 'sh 7'], 'ponix-orchestrator', {}, false],
    ['npm itself', ['node 7', 'npm start 7'], 'ponix-orchestrator', npm, false],
    ['a job of an interactive shell', ['node 1000', 'bash 7'], 'ponix-orchestrator', npm, false],
    ['a command in the background', ['node 7', 'sh 7'], 'ponix-orchestrator > log &', npm, false],
    ['a system without /proc', [], 'ponix-orchestrator', npm, false],
  ] as const)('%s', (_, processes, script, environment, expected) => {
    const commandLine = () => ['/bin/sh', '-c', script]
    expect(isInShellOfNpm({ pid: 1000, environment }, chain(...processes), commandLine)).toBe(expected)
  })
})
