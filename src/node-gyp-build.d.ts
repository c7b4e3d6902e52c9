declare module 'node-gyp-build' {
  /** Loads the addon of the package in `folder`: its own build, or the prebuilt one of this platform. */
  function load(folder: string): unknown;
  namespace load {
    /** The path of that addon. @throws an Error if there is none */
    function resolve(folder: string): string;
  }
  export default load;
}
