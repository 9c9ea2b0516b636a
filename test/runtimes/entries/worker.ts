// workerd: `workerd test` calls test().
import { conform } from "../conformance.ts";
import golden from "../golden.json" with { type: "json" };

export default {
  async test(): Promise<void> {
    console.log(`REPORT ${JSON.stringify(await conform(golden))}`);
  },
};
