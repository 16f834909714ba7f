// Programs of the system that the tests run. Installs their packages where possible.
import { spawnSync } from 'node:child_process'

/** Program → the Debian package that contains it. */
const packages = { 'systemd-analyze': 'systemd', perl: 'perl', script: 'bsdutils' }

/** Installs the missing packages as root on Debian and Ubuntu; otherwise prints the missing programs, whose tests fail. */
export function installSystemPackages() {
  const missing = Object.entries(packages).flatMap(([program, name]) => (isOnPath(program) ? [] : name))
  if (missing.length === 0) return
  const install = ['install', '-y', '-q', '--no-install-recommends', ...missing]
  if (process.getuid?.() !== 0 || !isOnPath('apt-get')) {
    const reason = isOnPath('apt-get') ? 'not root' : 'no apt-get'
    say(
      `cannot install ${missing.join(', ')} (${reason}); tests that need them fail. Install them: apt-get ${install.join(' ')}`,
    )
    return
  }
  say(`installing ${missing.join(', ')} with apt-get, for the tests`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  for (const args of [['update', '-q'], install]) {
    const { status, stdout, stderr } = spawnSync('apt-get', args, { env, encoding: 'utf8' })
    if (status === 0) continue
    say(
      `apt-get ${args.join(' ')} exited with ${status}; tests that need ${missing.join(', ')} fail\n${stdout}${stderr}`,
    )
    return
  }
}

function isOnPath(program) {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0
}

function say(text) {
  console.error(`[setup] ${text}`)
}
