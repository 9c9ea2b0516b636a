/** Of this package, and of the binaries that fit it: the build writes it into a custom section of that name. */
export const VERSION = "0.1.0";
export const VERSION_SECTION = "lowbit";
