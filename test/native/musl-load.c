/* musl-load ADDON: loads the addon in a program of musl, and looks up the symbols on the standard input, one per line.
   Prints how many were found. Exit code 1: the addon does not load, or a symbol was not found. Node-API is not there:
   scripts/test-package.mjs compiles functions of its names, which end the program, into this one. The addon's code is
   not run. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  void* addon = dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL);
  if (addon == NULL) {
    printf("%s\n", dlerror());
    return 1;
  }
  char name[256];
  int found = 0;
  int missing = 0;
  while (fgets(name, sizeof name, stdin) != NULL) {
    name[strcspn(name, "\n")] = '\0';
    if (dlsym(RTLD_DEFAULT, name) != NULL) {
      ++found;
    } else {
      ++missing;
      printf("musl has no %s\n", name);
    }
  }
  printf("%d symbols found\n", found);
  return missing == 0 && dlsym(addon, "napi_register_module_v1") != NULL ? 0 : 1;
}
