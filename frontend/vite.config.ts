import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import { defineConfig } from 'vitest/config';

// The entry keeps a stable name, so that templates/app.html needs no manifest; what it
// loads later carries a hash and may be cached for ever.
const backend = process.env['KOS_URL'] ?? 'http://127.0.0.1:8100';

export default defineConfig({
  base: '/static/',
  plugins: [svelte(), svelteTesting()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      input: { app: 'src/main.ts' },
      output: {
        entryFileNames: 'assets/[name].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        // Icons of several pages come together: alone each weighs mostly its wrapping.
        codeSplitting: {
          groups: [{ name: 'icons', test: /@lucide/, minShareCount: 3 }],
        },
        assetFileNames: (asset) =>
          asset.names.includes('app.css')
            ? 'assets/app.css'
            : 'assets/[name]-[hash][extname]',
      },
    },
  },
  server: {
    proxy: {
      '/api': backend,
      '/ws': { target: backend, ws: true },
    },
  },
  test: { environment: 'jsdom', include: ['tests/unit/**/*.test.ts'] },
});
