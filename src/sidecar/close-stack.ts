// Tested by test/sidecar/sidecar.long.test.ts.
/** What was opened, to be closed in the opposite order. */
export class CloseStack {
  readonly #closers: (() => Promise<void>)[] = [];
  #closing: Promise<void> | undefined;

  push(close: () => Promise<void>): void {
    this.#closers.push(close);
  }

  /** Closes all of it, once, whatever fails on the way. @throws the first failure */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    let failed: { readonly cause: unknown } | undefined;
    for (const close of this.#closers.splice(0).reverse()) {
      await close().catch((cause: unknown) => {
        failed ??= { cause };
      });
    }
    if (failed !== undefined) throw failed.cause;
  }
}
