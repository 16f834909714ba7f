import { execFile } from 'node:child_process'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A certificate and its key in PEM, in files and as text. */
export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

/** A certificate authority that is valid for a day, in a folder of its own. */
export class CertificateAuthority {
  readonly own: Certificate
  readonly folder: string

  private constructor(own: Certificate, folder: string) {
    this.own = own
    this.folder = folder
  }

  static async create(): Promise<CertificateAuthority> {
    const folder = await mkdtemp(join(tmpdir(), 'ponix-certificates-'))
    return new CertificateAuthority(await issue(folder, 'ca', []), folder)
  }

  /** Issues a certificate for 127.0.0.1. */
  async issue(name: string): Promise<Certificate> {
    const { certFile, keyFile } = this.own
    const signed = ['-CA', certFile, '-CAkey', keyFile, '-addext', 'subjectAltName=IP:127.0.0.1']
    return await issue(this.folder, name, signed)
  }
}

async function issue(folder: string, name: string, more: readonly string[]): Promise<Certificate> {
  const [certFile, keyFile] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)]
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const files = ['-keyout', keyFile, '-out', certFile]
  await run('openssl', ['req', '-x509', ...ec, ...files, '-days', '1', '-subj', `/CN=${name}`, ...more])
  const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
  return { certFile, keyFile, cert, key }
}
