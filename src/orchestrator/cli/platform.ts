import { UserError } from '../config/errors.ts'

/** Throws a UserError if the orchestrator cannot run processes on this system. */
export function requireSupportedPlatform(platform: NodeJS.Platform = process.platform): void {
  if (platform !== 'win32') return
  throw new UserError(
    'Windows is not supported, because it has no process groups and no POSIX signals; run this command in WSL 2 (wsl --install)',
  )
}
