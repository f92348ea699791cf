/** What `tutti init` can make. */
export const templateNames = ["tabular", "images", "text", "onnx-finetune"] as const;
export type TemplateName = (typeof templateNames)[number];

export interface Template {
  readonly describe: string;
  /** Whether it comes with images of shapes, which are drawn and not copied. */
  readonly hasShapes: boolean;
}

export const templates: Readonly<Record<TemplateName, Template>> = {
  tabular: { describe: "classify the rows of a table", hasShapes: false },
  images: { describe: "classify images, one folder a class", hasShapes: true },
  text: { describe: "write text, a byte at a time", hasShapes: false },
  "onnx-finetune": { describe: "train an .onnx file further, for other classes", hasShapes: true },
};
