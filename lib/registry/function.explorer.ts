import { Injectable } from '@nestjs/common';
import { ContextIdFactory, ModuleRef, ModulesContainer } from '@nestjs/core';
import { outsideOfRuns } from '../coroutine/index.js';
import { getFunctionMetadata, type FunctionMetadata } from '../decorators/index.js';

type Wrapper = ReturnType<ModulesOf['getProviderByKey']>;
type ModulesOf = NonNullable<ReturnType<ModulesContainer['get']>>;

/** A decorated method of a provider or controller. */
export interface FoundMethod {
  readonly metadata: FunctionMetadata;
  /** The function object that others see as the method. */
  readonly method: object;
  readonly className: string;
  /** `module/Class.method`. */
  readonly place: string;
  readonly owner: Owner;
}

/** What has the method: one instance, or a class of which every run gets a new one. */
export type Owner =
  | { readonly kind: 'instance'; readonly instance: object }
  | { readonly kind: 'scoped'; readonly constructor: object; resolve(): Promise<object> };

/** Finds the durable functions of an application. */
@Injectable()
export class FunctionExplorer {
  constructor(private readonly modules: ModulesContainer) {}

  /** All decorated methods of providers and controllers, inherited ones too; one instance under several tokens counts once. */
  explore(): FoundMethod[] {
    const found: FoundMethod[] = [];
    const seen = new Set<object>();
    for (const module of this.modules.values()) {
      for (const wrapper of [...module.providers.values(), ...module.controllers.values()]) {
        const owner = ownerOf(wrapper, module);
        const identity = owner?.kind === 'instance' ? owner.instance : owner?.constructor;
        if (owner === undefined || identity === undefined) continue;
        if (owner.kind === 'instance' && seen.has(identity)) continue;
        seen.add(identity);
        found.push(...decoratedMethods(owner, module.name));
      }
    }
    return found;
  }
}

/** Undefined for what can have no decorated methods, and for aliases, whose target is found under its own token. */
function ownerOf(wrapper: Wrapper, module: ModulesOf): Owner | undefined {
  if (wrapper.isAlias) return undefined;
  if (wrapper.isDependencyTreeStatic() && !wrapper.isTransient) {
    const instance: unknown = wrapper.instance;
    return typeof instance === 'object' && instance !== null ? { kind: 'instance', instance } : undefined;
  }
  // What a factory makes for each request is not known before it has been called.
  const { metatype, token } = wrapper;
  const isFactory = wrapper.inject !== null && wrapper.inject !== undefined;
  if (isFactory || typeof metatype !== 'function' || !metatype.prototype) return undefined;
  const moduleRef: unknown = module.getProviderByKey(ModuleRef).instance;
  if (!(moduleRef instanceof ModuleRef)) return undefined;
  return {
    kind: 'scoped',
    constructor: metatype,
    resolve: () =>
      outsideOfRuns(() => moduleRef.resolve<object>(token as never, ContextIdFactory.create(), { strict: true })),
  };
}

function decoratedMethods(owner: Owner, moduleName: string): FoundMethod[] {
  const found: FoundMethod[] = [];
  const seen = new Set<string | symbol>(['constructor']);
  const first: object | null =
    owner.kind === 'instance' ? prototypeOf(owner.instance) : (owner.constructor as { prototype: object }).prototype;
  const className = classNameOf(first);
  // `getAllMethodNames` of Nest's MetadataScanner leaves out methods whose key is a symbol.
  for (
    let prototype = first;
    prototype !== null && prototype !== Object.prototype;
    prototype = prototypeOf(prototype)
  ) {
    for (const key of Reflect.ownKeys(prototype)) {
      if (seen.has(key)) continue;
      seen.add(key);
      const method: unknown = Object.getOwnPropertyDescriptor(prototype, key)?.value;
      const metadata = getFunctionMetadata(method);
      if (metadata === undefined || typeof method !== 'function') continue;
      found.push({ metadata, method, className, place: `${moduleName}/${className}.${String(key)}`, owner });
    }
  }
  return found;
}

const prototypeOf = (object: object): object | null => Reflect.getPrototypeOf(object);

function classNameOf(prototype: object | null): string {
  const constructor: unknown = prototype?.constructor;
  return typeof constructor === 'function' ? constructor.name : '';
}
