/** A row that cannot be made into an event. The message is one line that names the column, fit for a log and a dead letter. */
export class ConversionError extends Error {
  override readonly name = 'ConversionError'
}
