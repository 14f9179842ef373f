/**
 * What the browser remembers of the console: choices for good, and who one is until the tab is closed. A browser that
 * remembers nothing is one that forgets at once.
 *
 * @module
 */

function memoryIn(storage) {
  return {
    get(name) {
      try {
        return JSON.parse(storage().getItem(`mesaya-console ${name}`)) ?? undefined;
      } catch {
        return undefined;
      }
    },
    set(name, value) {
      try {
        if (value === undefined) storage().removeItem(`mesaya-console ${name}`);
        else storage().setItem(`mesaya-console ${name}`, JSON.stringify(value));
      } catch {
        // there is no storage, or no room in it
      }
    },
  };
}

export const remembered = memoryIn(() => localStorage);
export const rememberedInTab = memoryIn(() => sessionStorage);
