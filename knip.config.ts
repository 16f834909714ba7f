import type { KnipConfig } from 'knip'

const config: KnipConfig = {
  entry: [
    'src/cli/main.ts',
    'services/*/{main,worker}.ts',
    'scripts/*.mjs',
    'scripts/*.d.mts',
    'bin/*.js',
    'test/rig/*.global-setup.ts',
    'bench/*.{ts,mjs}',
  ],
  project: ['src/**', 'services/**', 'test/**', 'bench/**', 'scripts/**', 'bin/**'],
  ignore: ['src/proto/gen/**'],
  // A type that a public function's signature names is public, whether or not somebody has needed to write it yet.
  ignoreExportsUsedInFile: { interface: true, type: true },
}

export default config
