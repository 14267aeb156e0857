/** Waits for something that the world does by itself, looking often; the time is a bound, not a pause. */
export async function eventually(holds: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it did not come to be within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
