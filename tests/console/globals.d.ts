// What the console's scripts find on their page: htmx and uPlot, as far as they use them.

interface UPlot {
  width: number;
  destroy(): void;
  setData(data: unknown[]): void;
  setSize(size: { width: number; height: number }): void;
}

interface Window {
  htmx?: { process(element: Element): void };
  uPlot: { new (options: object, data: unknown[], target: HTMLElement): UPlot; tzDate(date: Date, zone: string): Date };
  cashwrapPlots?: { append(id: string, point: { at: number; values: (number | null)[] }): void };
}
