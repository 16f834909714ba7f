// Plain JavaScript for old versions of Node, because it reports that they are too old.

/** Runs a program of dist/, such as `api`; in a clone, brings the installation and the build up to date first. */
export function launch(program) {
  var version = process.versions.node.split('.').map(Number)
  if (version[0] < 20 || (version[0] === 20 && version[1] < 19)) {
    console.error(
      'ponix: Node 20.19 or newer is required, this is ' + process.version + '; get Node 24 from https://nodejs.org',
    )
    process.exit(1)
  }
  return import('./start.js').then(function (starter) {
    return starter.start(program)
  })
}
