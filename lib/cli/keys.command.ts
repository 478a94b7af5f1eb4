import { createHash, randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { generateKeyPair } from '../signature/index.js';
import type { Actions } from './command.line.js';

const HELP = `
Examples:
  $ nestjs-dispatch keys generate
  $ nestjs-dispatch keys generate --json | jq -r .signingKey > signing.key`;

export function addKeys(program: Command, actions: Actions): void {
  const keys = program.command('keys').summary('make keys').description('Keys for a scheduler and its applications.');
  keys
    .command('generate')
    .description('Makes a key pair for signatures, and an API key. Nothing is kept: they are printed, and that is all.')
    .addHelpText('after', HELP)
    .action(
      actions(async (output) => {
        const { privateKeyBase64, publicKeyBase64 } = generateKeyPair();
        const apiKey = `sk_${randomBytes(24).toString('base64url')}`;
        const made = {
          signingKey: privateKeyBase64,
          verificationKey: publicKeyBase64,
          apiKey,
          apiKeyHash: `sha256:${createHash('sha256').update(apiKey).digest('hex')}`,
        };
        output.result(made, () =>
          [
            '# For the scheduler. Keep it secret: who has it can run functions of your applications.',
            `DISPATCH_SIGNING_KEY=${made.signingKey}`,
            '',
            '# For the applications: the key that checks the signatures, and the one that they send.',
            `DISPATCH_VERIFICATION_KEY=${made.verificationKey}`,
            `DISPATCH_API_KEY=${made.apiKey}`,
            '',
            '# For the scheduler, --api-key: the API key, or its hash, which lets nobody in.',
            `DISPATCH_API_KEYS=${made.apiKeyHash}`,
          ].join('\n'),
        );
      }),
    );
}
