/** Why migrations could not go on. The message is one line for the operator: which file, which line, what to do. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}
