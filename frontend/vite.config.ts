// One page, one script, one style sheet: content-hashed names, no source maps, nothing inlined,
// so that the strict Content-Security-Policy of the server holds and two builds are equal bytes.
import { defineConfig } from 'vite'
import { svelte } from '@sveltejs/vite-plugin-svelte'

export default defineConfig({
  plugins: [svelte()],
  base: '/',
  build: {
    target: ['chrome111', 'firefox114', 'safari16.4'],
    assetsInlineLimit: 0,
    sourcemap: false,
    modulePreload: false,
    reportCompressedSize: false,
  },
})
