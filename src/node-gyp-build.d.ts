declare module 'node-gyp-build' {
  /** Loads the addon of the package in `folder`: its own build, or the prebuilt one of this platform. */
  function load(folder: string): unknown;
  export default load;
}
