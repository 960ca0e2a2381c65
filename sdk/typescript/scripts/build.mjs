// Makes dist/: JavaScript, types, and a package.json of its own. Publish with `npm publish ./dist`.
// In the checkout the package points at its sources, so that the page can use it without a build.
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

rmSync(here('dist'), { recursive: true, force: true })
execFileSync(process.execPath, [createRequire(import.meta.url).resolve('typescript/bin/tsc'), '-p', here('tsconfig.build.json')], { stdio: 'inherit' })

const { scripts: _, devDependencies: __, files: ___, ...manifest } = JSON.parse(readFileSync(here('package.json'), 'utf8'))
manifest.exports = { '.': { types: './index.d.ts', default: './index.js' } }
writeFileSync(here('dist/package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
cpSync(here('README.md'), here('dist/README.md'))
