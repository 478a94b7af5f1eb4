import { createHash } from 'node:crypto';
import { ConfigurationError } from '../errors/index.js';
import { namespaceTag, type Namespace } from '../scheduler/index.js';

/** Who sends a request: the calls of one namespace are all that it sees. */
export interface Caller {
  /** Empty for the key without a name, and where no keys are set. */
  readonly name: string;
  readonly namespace: Namespace;
}

const NAMED = /^([a-z][a-z0-9_-]{0,62})=(.+)$/s;
const HASHED = /^sha256:([0-9a-f]{64})$/;
const MIN_LENGTH = 16;
const ANYONE: Caller = { name: '', namespace: '' };

/**
 * The API keys that a scheduler accepts: `NAME=KEY`, or one `KEY` without a name. Keys of one name see the same calls, so
 * that a key can be replaced. Instead of a key its hash may be given: `sha256:` and 64 hex digits.
 */
export class ApiKeys {
  private readonly callers = new Map<string, Caller>();

  /**
   * @param keys none: everyone is let in
   * @param source what messages call the setting
   * @throws ConfigurationError when a key is too short, is there twice, or two have no name
   */
  constructor(
    keys: readonly string[],
    private readonly source = 'The option apiKeys (--api-key)',
  ) {
    let unnamed = 0;
    const names = new Map<Namespace, string>();
    for (const text of keys) {
      const [, name = '', key = text] = NAMED.exec(text) ?? [];
      if (name === '' && ++unnamed > 1) {
        throw this.invalid(
          'has two keys without a name: give each a name (orders=KEY), which says whose calls it sees',
        );
      }
      const caller = { name, namespace: name === '' ? '' : namespaceTag(name) };
      const other = names.get(caller.namespace) ?? name;
      if (other !== name)
        throw this.invalid(`has the names '${other}' and '${name}', which do not go together: change one`);
      names.set(caller.namespace, name);
      this.add(key, caller);
    }
  }

  get isOpen(): boolean {
    return this.callers.size === 0;
  }

  /** Who sends a request with this `Authorization` header; undefined when it is nobody that is known. */
  authenticate(authorization: string | undefined): Caller | undefined {
    if (this.isOpen) return ANYONE;
    const key = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    // What the time of a look-up by hash tells is of no use: nobody can choose the hash of a guess.
    return key === undefined ? undefined : this.callers.get(hashOf(key));
  }

  private add(key: string, caller: Caller): void {
    const hash = HASHED.exec(key)?.[1] ?? hashOf(key);
    if (key.length < MIN_LENGTH || /\s/.test(key)) {
      throw this.invalid(
        `has a key of fewer than ${MIN_LENGTH} characters, or with spaces: make one with 'keys generate'`,
      );
    }
    if (this.callers.has(hash)) throw this.invalid('has the same key twice: give each name a key of its own');
    this.callers.set(hash, caller);
  }

  private invalid(what: string): ConfigurationError {
    return new ConfigurationError(`${this.source} ${what}.`);
  }
}

const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex');
