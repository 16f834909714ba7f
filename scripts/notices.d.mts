export interface BundledPackage {
  /** Relative to the root of the project: `node_modules/pg`. */
  readonly path: string
  readonly name: string
  readonly version: string
  /** An SPDX expression. */
  readonly license: string
}

export function packagesOf(moduleIds: readonly string[]): readonly BundledPackage[]
export function assertPermissive(packages: readonly Omit<BundledPackage, 'path'>[]): void
export function isPermissive(license: unknown): boolean
export function bundledPackages(root: string): readonly BundledPackage[]
export function notices(root: string): string
