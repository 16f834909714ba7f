/** Formats whose chunks, each written by itself, make the same text as all rows written at once. Lower case. */
const CHUNKABLE = new Set(
  [
    'JSONEachRow JSONLines NDJSON JSONCompactEachRow JSONStringsEachRow JSONCompactStringsEachRow',
    'TabSeparated TSV TabSeparatedRaw TSVRaw Raw CSV LineAsString RawBLOB RowBinary Native TSKV',
  ]
    .join(' ')
    .toLowerCase()
    .split(' '),
)

/** Whether rows can be sent in this format while they come, without keeping the whole result. */
export function isChunkable(format: string): boolean {
  return CHUNKABLE.has(format.toLowerCase())
}

/** The Content-Type that ClickHouse gives a result. */
export function contentTypeOf(format: string): string {
  const name = format.toLowerCase()
  if (/^(json.*eachrow|jsonlines|ndjson)/.test(name)) return 'application/x-ndjson; charset=UTF-8'
  if (name.startsWith('json')) return 'application/json; charset=UTF-8'
  if (name === 'csvwithnames' || name === 'csvwithnamesandtypes') return 'text/csv; charset=UTF-8; header=present'
  if (name === 'csv') return 'text/csv; charset=UTF-8; header=absent'
  if (/^(tabseparated|tsv|raw$)/.test(name)) return 'text/tab-separated-values; charset=UTF-8'
  if (name === 'xml') return 'application/xml; charset=UTF-8'
  if (/^(native|rowbinary|arrow|parquet|orc|avro|msgpack|rawblob|bson)/.test(name)) return 'application/octet-stream'
  return 'text/plain; charset=UTF-8'
}
