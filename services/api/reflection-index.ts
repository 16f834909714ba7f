import { toBinary, type DescFile, type DescMessage, type DescService } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'

/** What is declared where, in the files of some services and all that these import. */
export class ReflectionIndex {
  /** Full names, sorted. */
  readonly services: readonly string[]
  readonly #files = new Map<string, DescFile>()
  readonly #symbols = new Map<string, DescFile>()
  /** Extended message → number → the file that declares the extension. */
  readonly #extensions = new Map<string, Map<number, DescFile>>()
  readonly #encoded = new Map<string, Uint8Array>()

  constructor(services: readonly DescService[]) {
    this.services = services.map((service) => service.typeName).sort()
    for (const service of services) this.#addFile(service.file)
  }

  fileByName(name: string): DescFile | undefined {
    return this.#files.get(name)
  }

  /** The file that declares a service, method, message, field, oneof, enum, enum value or extension, by its full name. */
  fileBySymbol(symbol: string): DescFile | undefined {
    return this.#symbols.get(symbol.startsWith('.') ? symbol.slice(1) : symbol)
  }

  fileByExtension(typeName: string, extensionNumber: number): DescFile | undefined {
    return this.#extensions.get(typeName)?.get(extensionNumber)
  }

  /** The numbers of a message's extensions; undefined for a message that is not known. */
  extensionNumbers(typeName: string): readonly number[] | undefined {
    const numbers = this.#extensions.get(typeName)
    return numbers === undefined ? undefined : [...numbers.keys()]
  }

  /** The file and then everything it imports, directly or not. */
  withImports(file: DescFile): readonly DescFile[] {
    const found = new Set<DescFile>([file])
    for (const one of found) for (const dependency of one.dependencies) found.add(dependency)
    return [...found]
  }

  /** The file as a google.protobuf.FileDescriptorProto. */
  encode(file: DescFile): Uint8Array {
    const known = this.#encoded.get(file.proto.name)
    if (known !== undefined) return known
    const bytes = toBinary(FileDescriptorProtoSchema, file.proto)
    this.#encoded.set(file.proto.name, bytes)
    return bytes
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return
    this.#files.set(file.proto.name, file)
    for (const dependency of file.dependencies) this.#addFile(dependency)
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file)
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file)
    }
    for (const message of file.messages) this.#addMessage(message)
    for (const enumeration of file.enums) this.#addEnum(enumeration.typeName, enumeration.values, file)
    for (const extension of file.extensions) {
      this.#symbols.set(extension.typeName, file)
      this.#extensionsOf(extension.extendee.typeName).set(extension.number, file)
    }
  }

  #addMessage(message: DescMessage): void {
    const { file, typeName } = message
    this.#symbols.set(typeName, file)
    this.#extensionsOf(typeName)
    for (const field of message.fields) this.#symbols.set(`${typeName}.${field.name}`, file)
    for (const oneof of message.oneofs) this.#symbols.set(`${typeName}.${oneof.name}`, file)
    for (const enumeration of message.nestedEnums) this.#addEnum(enumeration.typeName, enumeration.values, file)
    for (const extension of message.nestedExtensions) {
      this.#symbols.set(extension.typeName, file)
      this.#extensionsOf(extension.extendee.typeName).set(extension.number, file)
    }
    for (const nested of message.nestedMessages) this.#addMessage(nested)
  }

  /** The values of an enum are declared beside it, not in it. */
  #addEnum(typeName: string, values: readonly { readonly name: string }[], file: DescFile): void {
    this.#symbols.set(typeName, file)
    const scope = typeName.slice(0, typeName.lastIndexOf('.') + 1)
    for (const value of values) this.#symbols.set(`${scope}${value.name}`, file)
  }

  #extensionsOf(typeName: string): Map<number, DescFile> {
    const known = this.#extensions.get(typeName)
    if (known !== undefined) return known
    const numbers = new Map<number, DescFile>()
    this.#extensions.set(typeName, numbers)
    return numbers
  }
}
