import { describe, expect, it } from 'vitest'
import { load } from '../../../../../test/rig/configuration/config.ts'
import { projectFolder } from '../../../../../test/rig/configuration/project-folder.ts'
import { renderFile } from '../render.ts'
import { draftFromCompose } from './compose.ts'

const read = (text: string, files: Readonly<Record<string, string>> = {}) =>
  draftFromCompose(text, 'compose.yaml', projectFolder(files), {})

describe('a service that has only an image', () => {
  it('becomes a container in the foreground, whose command line has no secrets', async () => {
    const draft = await read(
      `
services:
  db:
    image: postgres:\${VERSION:-16}
    command: -c max_connections=200
    environment: [POSTGRES_PASSWORD=a, "PATH=/x", INHERITED]
    env_file: db.env
    ports: ["5433:5432", "9187"]
    volumes: ["data:/data", "./init:/init:ro", "~/x:/x", "/anonymous", { type: bind, source: ./a, target: /a, read_only: true }]
    secrets: [key, { source: cert, target: /etc/cert }]
    healthcheck: { test: "pg_isready -U $$USER", interval: 1s }
    user: "1000"
    shm_size: 1gb
    init: true
    cap_add: [SYS_NICE]
    tmpfs: /tmp
    entrypoint: [start, --now]
    stop_signal: SIGINT
    profiles: [data]
    networks: [back]
volumes: { data: {}, other: { name: x } }
secrets: { key: { file: ./key.txt }, cert: { file: cert.pem } }
`,
      { 'db.env': 'POSTGRES_DB=b\nPOSTGRES_PASSWORD=c\n' },
    )
    const { args = [], ...rest } = draft.processes.get('db') ?? { command: '' }
    expect(args.join(' ')).toBe(
      'run --rm --name shop-db --init --user 1000 --shm-size 1gb --cap-add SYS_NICE --tmpfs /tmp -p 5433:5432 ' +
        '-v shop_data:/data -v ./init:/init:ro -v ${HOME}/x:/x -v /anonymous -v ./a:/a:ro ' +
        '-v ./key.txt:/run/secrets/key:ro -v ./cert.pem:/etc/cert:ro ' +
        '-e POSTGRES_DB -e POSTGRES_PASSWORD -e INHERITED -e PATH=/x --entrypoint start ' +
        'postgres:${VERSION:-16} --now -c max_connections=200',
    )
    expect(rest).toEqual({
      command: 'docker',
      env_file: 'db.env',
      env: { POSTGRES_PASSWORD: 'a' },
      readiness_probe: { exec: ['docker', 'exec', 'shop-db', '/bin/sh', '-c', 'pg_isready -U $USER'], period_ms: 1000 },
      restart: { policy: 'on_failure' },
      shutdown: { signal: 'SIGINT', timeout_ms: 10_000 },
      profiles: ['data'],
    })
    expect(draft.notes).toEqual([
      'db: runs as a container of its image with "docker run", which needs Docker on this machine',
    ])
  })

  it('keeps its own name, the names of volumes, and is the dependency of others', async () => {
    const draft = await read(`
name: My Shop
services:
  db: { image: mongo, container_name: shop_mongo, volumes: ["a:/a", "b:/b"], mem_limit: 1g }
  api: { build: ., command: x, depends_on: [db], environment: { MONGO: "mongodb://shop_mongo:27017" } }
volumes: { a: { name: of_a }, b: { external: true } }
`)
    load(renderFile(draft, { source: 'a test' }))
    expect(draft.processes.get('db')?.args?.join(' ')).toContain(
      '--name shop_mongo --memory 1g -p 127.0.0.1:27017:27017 -v of_a:/a -v b:/b mongo',
    )
    expect(draft.processes.get('api')).toMatchObject({
      env: { MONGO: 'mongodb://127.0.0.1:27017' },
      depends_on: ['db'],
    })
  })

  it.each([
    ['devices: [/dev/x], gpus: all', 'docker run has no counterpart of devices, gpus'],
    ['scale: 2', 'it has several replicas'],
    ['network_mode: "service:api"', 'it shares the network of another service'],
    ['env_file: none.env', 'env_file none.env does not exist'],
    ['environment: { URL: "http://api:80" }', 'it reaches api by name, as only Compose allows'],
    ['environment: { DEFAULT_SERVER: api }', 'it reaches api by name, as only Compose allows'],
    ['command: ["--upstream=api:3000"]', 'it reaches api by name, as only Compose allows'],
  ])('stays in Compose with %s', async (keys, reason) => {
    const draft = await read(
      `services: { a: { image: nginx, ${keys} }, api: { build: ., command: x, depends_on: [a] } }`,
    )
    expect([...draft.processes.keys()]).toEqual(['api'])
    expect(draft.notes.slice(0, 2)).toEqual([
      `a: left out, because ${reason}; keep it in Compose: docker compose up -d a`,
      'api: depends_on a left out, because a was not taken over',
    ])
  })

  it.each([
    ['image: "postgres:16", environment: { POSTGRES_DB: api }', 'docker'],
    ['image: redis, command: redis-server --save 60 1', 'docker'],
    ['image: nginx, command: nginx -g x, volumes: ["./conf:/etc/nginx"]', 'docker'],
    ['image: "node:22-alpine", command: run', 'run'],
    ['image: own, command: run, working_dir: /app', 'run'],
    ['image: own, command: run, volumes: [".:/srv"]', 'run'],
    ['image: own, build: ., command: run', 'run'],
  ])('or runs a program of the project: %s runs %s', async (keys, command) => {
    const draft = await read(`services: { a: { ${keys} }, api: { build: ., command: x } }`)
    expect(draft.processes.get('a')).toMatchObject({ command })
  })
})
