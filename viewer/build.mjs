// Bundles the report's script and style, and writes them as one C file; and the
// 3-D view of the live page as one module:
//   node build.mjs FOLDER_WITH_NODE_MODULES OUT.c SCENE.js
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [modules, out, sceneOut] = process.argv.slice(2).map((path) => resolve(path));
const source = join(dirname(fileURLToPath(import.meta.url)), 'src');
const esbuild = createRequire(join(modules, 'package.json'))('esbuild');

function bundle(name, format) {
  const built = esbuild.buildSync({
    entryPoints: [join(source, name)],
    nodePaths: [join(modules, 'node_modules')],
    bundle: true,
    minify: true,
    write: false,
    format,
    target: 'es2020',
    charset: 'ascii',
    legalComments: 'inline', // three.js stands under the MIT licence
    logLevel: 'warning',
  });
  return built.outputFiles[0].text.trim();
}

writeFileSync(sceneOut, bundle('scene.js', 'esm'));

// The page is read as HTML and as XML: the script is character data in both,
// and the hash of the security policy covers all of it.
let script = bundle('main.js', 'iife').replaceAll(']]>', ']] >');
script = `//<![CDATA[\n${script}\n//]]>`;
if (/<\/script|<!--/i.test(script)) throw new Error('the bundle would end the script element');
const style = readFileSync(join(source, 'view.css'), 'utf8').trim();
const hash = createHash('sha256').update(script).digest('base64');

function literal(text) {
  const lines = text.match(/[^]{1,100}/g).map((piece) => {
    const escaped = piece
      .replace(/[\\"]/g, '\\$&')
      .replace(/\n/g, '\\n')
      .replace(/\t/g, '\\t')
      .replace(/\?/g, '\\?');
    if (/[^ -~]/.test(escaped)) throw new Error('the bundle is not plain ASCII');
    return `    "${escaped}"`;
  });
  return lines.join('\n');
}

writeFileSync(
  out,
  `/* Made by viewer/build.mjs from viewer/src and three.js (MIT). */
#include "view_program.h"
static const char script[] =
${literal(script)};
static const char style[] =
${literal(style)};
const es_view_program view_program = {script, style, "sha256-${hash}", sizeof script - 1};
`,
);
console.log(`viewer: ${script.length} bytes of script, ${style.length} of style`);
