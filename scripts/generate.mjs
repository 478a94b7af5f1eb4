// Makes lib/gen/ again from proto/. `buf` and its plugin are fetched for this script alone: nobody who installs the
// package needs them.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BUF = '@bufbuild/buf@1.75.0';
const PLUGIN = '@bufbuild/protoc-gen-es@2.17.0';
const proto = fileURLToPath(new URL('../proto/', import.meta.url));
execFileSync('npx', ['--yes', '-p', BUF, '-p', PLUGIN, 'buf', 'generate', '.', '--template', 'buf.gen.yaml'], {
  cwd: proto,
  stdio: 'inherit',
});
