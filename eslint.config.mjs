import js from '@eslint/js';
import ts from 'typescript-eslint';

/** The allowed dependencies between layers, reported in the editor. test/architecture.test.ts checks the same. */
const mayNotImport = (files, ...patterns) => ({
  files,
  rules: {
    'no-restricted-imports': [
      'error',
      { patterns: [{ group: patterns, message: 'not an allowed dependency between layers: see CONTRIBUTING.md' }] },
    ],
  },
});

export default ts.config(
  {
    ignores: [
      'build/',
      'dist/',
      'docs/reference/',
      '.cross/',
      '.bench/',
      '.setup.lock/',
      'node_modules/',
      'test/contract/promised/*.d.ts',
    ],
  },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.mts'],
    extends: [ts.configs.strictTypeChecked, ts.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Messages contain many numbers.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowNullish: true },
      ],
      // `if (done) return finish();` reads well.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // Getters and separate overloads document more than a field and a union.
      '@typescript-eslint/class-literal-property-style': 'off',
      '@typescript-eslint/unified-signatures': 'off',
      '@typescript-eslint/no-invalid-void-type': ['error', { allowAsThisParameter: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // `x as Socket` names the type; `x!` does not.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // for (;;)
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      'no-empty': ['error', { allowEmptyCatch: false }],
      eqeqeq: 'error',
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // Tests pass closed objects, wrong types and unbound methods on purpose.
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/no-base-to-string': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },
  {
    files: ['**/*.mjs', '**/*.cjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
        require: 'readonly',
        Buffer: 'readonly',
        performance: 'readonly',
      },
    },
  },
  {
    files: ['test/fuzz/*.cjs', 'test/support/*.cjs', 'scripts/*.cjs'],
    languageOptions: {
      globals: {
        ...{ __dirname: 'readonly', __filename: 'readonly', AbortSignal: 'readonly' },
        ...{ setImmediate: 'readonly', structuredClone: 'readonly' },
      },
    },
  },
  {
    files: ['bench/peers/*'],
    languageOptions: {
      globals: {
        ...{
          Bun: 'readonly',
          Response: 'readonly',
          Deno: 'readonly',
          console: 'readonly',
          process: 'readonly',
          require: 'readonly',
        },
        ...{ TextEncoder: 'readonly', TextDecoder: 'readonly', performance: 'readonly', setImmediate: 'readonly' },
      },
    },
  },
  {
    files: ['test/support/page-probe.js'],
    languageOptions: {
      sourceType: 'script',
      globals: {
        document: 'readonly',
        getComputedStyle: 'readonly',
        window: 'readonly',
        NodeFilter: 'readonly',
        Image: 'readonly',
      },
    },
  },
  mayNotImport(
    ['src/syscalls/**', 'src/wait/**'],
    '**/selectors/*',
    '**/net/*',
    '**/loops/*',
    '**/demos/*',
    '**/cli/*',
    '**/index.js',
  ),
  mayNotImport(
    ['src/net/**'],
    '**/selectors/*',
    '**/proactors/*',
    '**/wait/*',
    '**/loops/*',
    '**/demos/*',
    '**/cli/*',
    '**/index.js',
  ),
  mayNotImport(
    ['src/selectors/**'],
    '**/net/*',
    '**/proactors/*',
    '**/loops/*',
    '**/demos/*',
    '**/cli/*',
    '**/index.js',
  ),
  mayNotImport(['src/proactors/**'], '**/loops/*', '**/demos/*', '**/servers/*', '**/cli/*', '**/index.js'),
  mayNotImport(['src/loops/**'], '**/demos/*', '**/servers/*', '**/cli/*', '**/index.js'),
  mayNotImport(
    ['src/servers/**'],
    '**/native.js',
    '**/selectors/*',
    '**/proactors/*',
    '**/loops/*',
    '**/syscalls/*',
    '!**/syscalls/probe.js',
    '!**/syscalls/shared-file.js',
    '!**/syscalls/slices.js',
    '!**/syscalls/temporary-folders.js',
    '!**/syscalls/address.js',
    '**/wait/*',
    '**/cli/*',
  ),
  mayNotImport(['src/servers/applications/**'], '../*'),
  mayNotImport(
    ['src/demos/**'],
    '**/selectors/*',
    '**/net/*',
    '**/syscalls/*',
    '**/wait/*',
    '**/native.js',
    '**/cli/*',
  ),
  mayNotImport(['src/cli/**'], '**/native.js', '**/net/*', '**/wait/*', '**/loops/*', '**/selectors/*'),
);
