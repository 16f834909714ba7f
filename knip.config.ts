import type { KnipConfig } from 'knip'

const config: KnipConfig = {
  entry: [
    'src/index.ts',
    'src/orchestrator/cli/main.ts',
    'src/orchestrator/supervisor/guard/main.ts',
    'src/orchestrator/control/logs/grep-worker.ts',
    'services/*/{main,worker}.ts',
    'bench/*.ts',
    'bench/*/programs/*.ts',
    'scripts/*.mjs',
    'scripts/*.d.mts',
    'bin/*.js',
  ],
  project: ['src/**', 'services/**', 'test/**', 'bench/**', 'scripts/**', 'bin/**'],
  // Run by their names, by scripts/check.mjs and buf.gen.yaml; of QuickJS only the WebAssembly file is used.
  ignoreDependencies: [
    '@bufbuild/protoc-gen-es',
    '@jitl/quickjs-wasmfile-release-sync',
    'oxlint',
    'oxlint-tsgolint',
    'publint',
  ],
  ignoreBinaries: ['apt-get', 'mkfifo', 'perl', 'process-compose', 'script', 'systemd-notify', 'systemd-tmpfiles'],
  ignore: ['src/proto/gen/**'],
  // A type that a public function's signature names is public, whether or not somebody has needed to write it yet.
  ignoreExportsUsedInFile: { interface: true, type: true },
}

export default config
